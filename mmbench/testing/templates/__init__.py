"""Files that `mmbench new` starts from: components that keep their contract already."""
