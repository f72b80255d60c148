"""Checks a finished image: where each person is, and how much they resemble their reference."""
