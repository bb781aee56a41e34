"""Metrics of benchmarks in SeqIO's signatures, from the libraries that the field trusts; in percent."""
