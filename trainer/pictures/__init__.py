"""Pictures that are results: writing them, previews and contact sheets."""
