"""Files of vectors in the field's formats, read in place or streamed, one module a format."""
