/* Numbers of the protocol's invariants, so that a broken assertion names the one that it breaks.
 * INV(I4, c) asserts c; the verifier prints "... || (4==0)", which scripts/model reads. */
#define I1 1
#define I2 2
#define I3 3
#define I4 4
#define I5 5
#define I6 6
#define I7 7
#define I8 8
#define I9 9
#define I12 12
#define I13 13
#define I14 14
#define REACHED 99  /* a witness: something that the model must be able to do, else its verdicts say nothing */
#define INV(number, condition) assert((condition) || (number == 0))
