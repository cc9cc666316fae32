"""Classic augmentation: small random changes that leave the diagnosis alone."""
