/* brake.pml - when most agents fall silent at once (L4, I12).
 *
 * 5 agents of one deployment, each silent or beating as it likes, without end. A tick is one heartbeat interval and one window of the
 * budget (1 agent a window); SL is 3 ticks, "over 2H" is 2 ticks. What is due is judged before the clock goes on, in any order, by the scan or
 * by a late beat that finds its lease expired.
 *
 * Rules kept: L2, L4 (at least 3 and more than 55 %; SUSPECT for one more SL; then ended within the budget; base and budget fixed when
 * it engages; on every path; at 100 % too; a beat returns a suspect).
 * Asserted: I12: while the brake is engaged no window has more failures than the budget, and none comes before one more SL has passed.
 * Mutants:
 *   NO_BRAKE   the plain rule for all
 *   NO_JOIN    who falls due while the brake is engaged is judged by the plain rule (membership fixed in the narrow sense)
 *   RECOUNT    who falls due later joins only if 3 and 55 % of the agents that still live are silent again: the base is not fixed
 *   NO_BUDGET  suspects are ended as soon as their time is up
 *   NO_EXTRA   suspects are ended within the budget, but at once
 *   NO_PATH    a late beat that finds its lease expired ends the session whatever the brake says
 * WITNESS: all five are suspects at once (100 %), and one of them comes back.
 */
#include "invariants.h"
#define N 5
#define SL 3
#define BUDGET 1
byte age[N], since[N], window; bit dead[N], suspect[N], engaged, all5;
#define SILENT(i) (!dead[i] && age[i] >= 2)
#define SILENTS (SILENT(0) + SILENT(1) + SILENT(2) + SILENT(3) + SILENT(4))
#define LIVE (5 - dead[0] - dead[1] - dead[2] - dead[3] - dead[4])
#define MOST (SILENTS >= 3 && SILENTS * 100 > LIVE * 55)
#define SUSPECTS (suspect[0] + suspect[1] + suspect[2] + suspect[3] + suspect[4])

#ifdef NO_JOIN
#define HOLDS (!engaged && MOST)
#else
#ifdef RECOUNT
#define HOLDS MOST
#else
#define HOLDS (engaged || MOST)
#endif
#endif
#ifdef NO_BRAKE
#define MARK(i) skip
#define BRAKES false
#else
#define MARK(i) if :: SILENT(i) && !suspect[i] -> suspect[i] = 1; since[i] = 0 :: else fi
#define BRAKES HOLDS
#endif
#define MARKALL MARK(0); MARK(1); MARK(2); MARK(3); MARK(4)
#define ENGAGE engaged = 1; MARKALL; if :: SUSPECTS == 5 -> all5 = 1 :: else fi
#define LETGO if :: SUSPECTS == 0 -> engaged = 0; all5 = 0 :: else fi
#define FAIL(i) dead[i] = 1; suspect[i] = 0; age[i] = 0; window++; INV(I12, !engaged || window <= BUDGET)
/* the ghost of the brake, so that the mutant without it is measured by the same rule */
#define GHOST if :: MOST -> engaged = 1 :: else fi
#define JUDGE(i) if :: BRAKES -> ENGAGE :: else -> GHOST; FAIL(i) fi
#ifdef NO_PATH
#define LATE(i) FAIL(i)
#else
#define LATE(i) JUDGE(i)
#endif
#ifdef NO_BUDGET
#define WITHIN true
#else
#define WITHIN (window < BUDGET)
#endif
#ifdef NO_EXTRA
#define EXTRA 0
#else
#define EXTRA SL
#endif
#ifdef WITNESS
#define WIT INV(REACHED, !all5)
#else
#define WIT skip
#endif
#define AGENT(i) \
   :: d_step { !dead[i] && age[i] > 0 && age[i] < SL && !suspect[i] -> age[i] = 0 } \
   :: d_step { suspect[i] -> WIT; suspect[i] = 0; age[i] = 0; since[i] = 0; LETGO } \
   :: d_step { !dead[i] && !suspect[i] && age[i] >= SL -> LATE(i) } \
   :: d_step { !dead[i] && !suspect[i] && age[i] >= SL -> JUDGE(i) } \
   :: d_step { suspect[i] && since[i] >= EXTRA && WITHIN -> INV(I12, since[i] >= SL); since[i] = 0; FAIL(i); LETGO }
#define DUE(i) (!dead[i] && !suspect[i] && age[i] >= SL)
#define TICK(i) if :: !dead[i] && age[i] < SL -> age[i]++ :: else fi; if :: suspect[i] && since[i] < SL -> since[i]++ :: else fi
active proctype world() {
end:
  do
  AGENT(0) AGENT(1) AGENT(2) AGENT(3) AGENT(4)
  :: d_step { !DUE(0) && !DUE(1) && !DUE(2) && !DUE(3) && !DUE(4) -> TICK(0); TICK(1); TICK(2); TICK(3); TICK(4); window = 0 }
  od
}
