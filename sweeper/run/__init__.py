"""Running a sweep: what runs next, who does it, and what becomes of the results."""
