"""Images in, groups out: which images show the same radiograph."""
