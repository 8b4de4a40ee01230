"""What people do with a fitted model; one file per task."""
