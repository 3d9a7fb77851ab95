"""The product's verbs, one file each: they fetch, ask the core to decide, and carry out what it decided."""
