"""Evidence: held-out people painted under paired conditions, judged, and counted over people."""
