"""The command line: argument parsing, progress bars and tables; no logic of its own."""
