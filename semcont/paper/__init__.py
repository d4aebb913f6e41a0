"""The study: presets, runs, what each section of the paper measures, claims, figures, notebooks and reports."""
