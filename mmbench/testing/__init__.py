"""What a plug-in author tests with: the linear-Gaussian oracle, and the contract suites over components."""
