"""What methods of tasks are called, so that a misspelt one is refused before TensorFlow loads."""

SCORES = (
    "residual",
    "normalized_residual",
    "peak",
    "ssim",
    "elbo",
    "mahalanobis",
    "neighbours",
    "hybrid",
)
PRIOR = "prior"
SAMPLERS = (PRIOR, "mixture", "gaussian", "neighbours", "flow", "autoregressive")
CLUSTERINGS = ("dec", "kmeans", "mixture")
MAPS = ("pca", "tsne", "umap")
