"""How good is a model next to what else one would use, on classes that it never saw?"""
