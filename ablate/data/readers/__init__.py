"""Readers of image files: each turns the bytes of one family of formats into pixels as the file holds them."""
