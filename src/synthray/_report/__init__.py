"""What reports share: figures and their style, pictures and templates of pages."""
