"""Classes that exported pipelines contain where a library has no equal one; read as text, never imported.

One class per file, which needs nothing but torch and the library it is for. Imports of other snippets are for the
linter: what a class builds on is inserted before it.
"""
