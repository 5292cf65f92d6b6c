"""What an operator runs against a deployed stage, or against the stand-ins of a laptop: `python -m ops …`."""
