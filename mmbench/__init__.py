"""mmbench: a benchmark of multimodal variational autoencoders under partial observation."""
