"""What entries are judged by: functions from a trained model and its data to named figures."""
