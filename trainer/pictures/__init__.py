"""Pictures that the trainer writes: results, previews and contact sheets."""
