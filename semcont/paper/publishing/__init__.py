"""What is committed of the results: figures, generated parts of README and docs, cards of networks; and pages."""
