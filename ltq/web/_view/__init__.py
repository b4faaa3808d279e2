"""How things look: templates, values, forms, files."""
