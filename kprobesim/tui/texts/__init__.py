"""What the screens say, in English and Chinese."""
