"""What a terminal shows: tables that fit its width, pages that fit its height, and completions of a word."""
