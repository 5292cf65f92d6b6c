"""What bytes from outside may do: nothing but be taken in or turned away. Each target takes any bytes at all."""
