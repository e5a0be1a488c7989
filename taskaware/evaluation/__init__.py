"""How good is a predictor, and what did each piece of metadata contribute?"""
