"""Plans that ship with the package: `mmbench sweep NAME` for the runs behind the figures and tables of the MEME paper
(Joy et al., Learning Multimodal VAEs through Mutual Supervision, ICLR 2022).

All are on MNIST-SVHN under preset `common`, which trains for fewer steps than the paper; the file of each says what it
costs. `--dataset digits` tries any of them without a download.
"""
