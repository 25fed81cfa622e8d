"""Measures of painted films: how calm and how sharp their paintings are."""
