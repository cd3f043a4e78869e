"""What people see. Consumes Step and Result, computes nothing."""
