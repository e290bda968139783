"""How fast it is, measured: `step` (in process), `taps` (real sockets), `chart` (the picture). See README.md."""
