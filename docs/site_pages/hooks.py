"""What mkdocs calls while it builds the site (https://www.mkdocs.org/user-guide/configuration/#hooks)."""
