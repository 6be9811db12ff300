"""What `fathom explain` can tell, one file each."""
