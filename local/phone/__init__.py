"""A phone in the browser: write as a person would, and watch each message walk through the stages."""
