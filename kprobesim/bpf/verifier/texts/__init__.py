"""What the verifier's messages mean: ``messages.toml`` has the kernel's wording, the other tables the explanations."""
