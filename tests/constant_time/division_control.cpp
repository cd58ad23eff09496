// Divides by a number that is not a constant: crypto.no_division must find it, or it finds nothing.
unsigned kith_division_control(unsigned a, unsigned b);
unsigned kith_division_control(unsigned a, unsigned b) {
    return a / b;
}
