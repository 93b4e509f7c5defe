"""The pages that imc serves itself: files of the package, and what HTTP says of them."""
