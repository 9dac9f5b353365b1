"""Many runs: carried out one after the other, or several at once in processes of their own."""
