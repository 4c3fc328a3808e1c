/* streams.pml - one session over several streams at two registries: generations (L5, I13).
 *
 * 1 agent, its twin (another process that holds a copy of the session key), MAXG dials; the odd dials go to one registry, the even ones to
 * another. Hellos, frames and the news of a broken stream arrive at any later time, or never. What the control plane tells the agent is
 * modelled by one number, the version of its availability: a registry reads it from the store at any moment and sends it down its stream.
 * hello.pml has the opening of sessions; here there is one session, opened by dial 1.
 *
 * Rules kept: L5 (a resume only by the same instance and with a higher generation; the older stream is superseded; the agent obeys the
 * newest only), the store's fence on frames and on "stream down".
 * Asserted, all as I13: no frame of an older stream has an effect; the agent obeys one stream, the store's generation is never older, and what it obeys never goes back; while
 * the stream of the store's generation is open at its registry, the store names a registry; no second process gets a stream.
 * Mutants:
 *   NO_HIGHER     a resume is taken whatever its generation
 *   NO_INSTANCE   a resume is taken from another instance
 *   NO_FRAME_GEN  frames are taken whatever their stream
 *   NO_DOWN_GEN   "stream down" is taken whatever its stream
 *   NO_NEWEST     the agent obeys every stream that it has not seen closed
 * WITNESS: the third stream carries a frame that is taken and an order that is obeyed.
 */
#include "invariants.h"
#ifndef MAXG
#define MAXG 3
#endif
#ifndef MAXV
#define MAXV 2
#endif
/* store: generation, whether it names a registry, version of the availability, highest beat taken */
byte gen, version; bit named;
/* streams, by generation */
bit hello[MAXG+1], twinHello[MAXG+1];
bit rOpen[MAXG+1];                        /* open at its registry */
bit rDown[MAXG+1];                        /* its registry has still to tell the store that it broke */
byte welcome[MAXG+1], order[MAXG+1];      /* version + 1 that came down and was not read yet */
bit frame[MAXG+1];                        /* a frame that its registry holds and has not passed on */
/* agent */
byte dial, aGen, aVersion; bit aOpen[MAXG+1], twinOnline, obeyed3, taken3;

#ifdef NO_HIGHER
#define HIGHER(g) true
#else
#define HIGHER(g) (g > gen)
#endif
#ifdef NO_FRAME_GEN
#define FRAMEOK(g) true
#else
#define FRAMEOK(g) (g == gen)
#endif
#ifdef NO_DOWN_GEN
#define DOWNOK(g) true
#else
#define DOWNOK(g) (g == gen)
#endif
#ifdef NO_NEWEST
#define OBEYS(g) true
#else
#define OBEYS(g) (g == dial)
#endif
#ifdef WITNESS
#define WIT INV(REACHED, !(obeyed3 && taken3))
#else
#define WIT skip
#endif
#define OBEY(g, v) INV(I13, v >= aVersion && g >= aGen); aVersion = v; aGen = g; if :: g == 3 -> obeyed3 = 1 :: else fi; WIT

#define STREAM(g) \
   /* the store takes the hello (the first one opens the session) */ \
   :: d_step { hello[g] && HIGHER(g) -> hello[g] = 0; gen = g; named = 1; rOpen[g] = 1; welcome[g] = version + 1; INV(I13, gen >= aGen) } \
   :: d_step { welcome[g] > 0 && OBEYS(g) -> OBEY(g, welcome[g] - 1); aOpen[g] = 1; welcome[g] = 0 } \
   /* a registry reads the store and tells its stream; a stream keeps the order of what is sent on it */ \
   :: d_step { rOpen[g] && welcome[g] == 0 && order[g] == 0 && g <= gen -> order[g] = version + 1 } \
   :: d_step { order[g] > 0 && aOpen[g] && OBEYS(g) -> OBEY(g, order[g] - 1); order[g] = 0 } \
   :: d_step { order[g] > 0 -> order[g] = 0 } \
   /* the agent's frames */ \
   :: d_step { aOpen[g] && g == dial && !frame[g] -> frame[g] = 1 } \
   :: d_step { frame[g] && rOpen[g] -> frame[g] = 0; \
        if :: FRAMEOK(g) -> INV(I13, g == gen); if :: g == 3 -> taken3 = 1 :: else fi; WIT :: else fi } \
   /* the stream breaks at the registry's end (cut, or closed as superseded); the store is told later */ \
   :: d_step { rOpen[g] -> rOpen[g] = 0; rDown[g] = 1 } \
   :: d_step { rDown[g] -> rDown[g] = 0; if :: DOWNOK(g) -> named = 0; INV(I13, !rOpen[gen]) :: else fi } \
   /* the agent sees its stream break */ \
   :: d_step { aOpen[g] && !rOpen[g] -> aOpen[g] = 0 }

#ifdef NO_INSTANCE
#define TWIN(g) :: d_step { g > gen && gen > 0 && !twinOnline -> gen = g; named = 1; twinOnline = 1; INV(I13, !(aGen > 0 && aOpen[aGen])) }
#else
#define TWIN(g)   /* refused: another instance */
#endif

active proctype world() {
end:
  do
  :: d_step { dial < MAXG -> dial++; hello[dial] = 1 }   /* at once after a break, or on an open stream without acknowledgements */
  :: d_step { version < MAXV -> version++ }              /* an operator cordons, uncordons */
  STREAM(1) STREAM(2) STREAM(3) TWIN(2) TWIN(3)
  od
}
