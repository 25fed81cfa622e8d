"""The baselines that nets are compared with: Gatys' optimisation, sparse coding, and reconstructions."""
