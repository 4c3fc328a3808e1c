/* held.pml - lost_after: a FAILED agent's running work is held until it is given up, re-bound or reported (H1, C2).
 *
 * 1 agent name, one instance that may be cut off, come back, or be followed by another instance; 1 task, MAXA attempts, any of which may go to
 * another agent, where it starts at once. SL 3, AL 2, W 2, lost_after LA ticks from FAILED. What the scheduler does about an ended
 * session (hold, give up) comes later than the verdict, the inventory of a new session later than its opening. CONTINUE, or -DABORT.
 *
 * Rules kept: L2, S3, S4, S7, H1, C2, G1 (ABORT), T6 (a new instance of a FAILED agent with HELD work), D2's adoption within one epoch.
 * Asserted: I1; I2; I3 (a second copy only when LA ticks have passed since FAILED, or an operator said that the agent is gone; under
 *   ABORT never); I4; and nothing that is bound to a living session is given up.
 * Mutants:
 *   NO_HOLD     given up at FAILED
 *   FROM_BEAT   lost_after counts from the last beat
 *   NO_SESSION  the give-up of an ended session takes what a later session has re-bound
 *   NO_UNHOLD   the hold of a re-bound attempt still falls due
 *   NO_REBIND   the new session's inventory binds nothing
 *   NO_T6       a new instance without the lock gets a session although work is held, and its (empty) inventory counts
 *   NO_FENCE    a result is taken although its attempt was given up
 * WITNESS: a held attempt is re-bound and its result is taken; WITNESS2: its result is taken while it is still HELD.
 */
#include "invariants.h"
#define SL 3
#define AL 2
#define W 2
#ifndef LA
#define LA 2
#endif
#ifndef MAXA
#define MAXA 2
#endif
#ifndef MAXS
#define MAXS 3
#endif
#define QUEUED 0
#define OFFERED 1
#define CONF 2
#define HELD 3
#define ELSE 4
#define DONE 5
#define IDLE 0
#define ACC 1
#define RUN 2
#define ENDED 3
byte sess = 1, miss, cut; bit open = 1, other;   /* other: the session is of a new instance. cut: ticks since FAILED */
byte giveup;                                     /* ended session whose attempts are still to be dealt with */
byte tSt, tAtt, tSess; bit here, hold, gone, accepted, rebound;
byte offS[MAXA+1]; bit mAcc[MAXA+1], mConf[MAXA+1], started[MAXA+1], took[MAXA+1];
byte mKill, inv, iSt, iAtt, iMax; bit iOther;           /* an inventory on its way, of session inv */
byte aSess = 1, aLease, pend, aSt, aAtt, aAge, aMax;

#define DROP aSt = IDLE; aAtt = 0; aAge = 0
#define VALID (aAge < W && aLease < AL)
#ifdef NO_HOLD
#define HOLDIT tSt = QUEUED; here = 0
#else
#ifdef ABORT
#define HOLDIT tSt = QUEUED; here = 0
#else
#define HOLDIT if :: cut >= LA -> tSt = QUEUED; here = 0 :: else -> tSt = HELD; hold = 1 fi
#endif
#endif
#ifdef FROM_BEAT
#define DUE (cut + SL >= LA)
#else
#define DUE (cut >= LA)
#endif
#define OPENOFFER tSt = QUEUED; here = 0
#ifdef NO_SESSION
#define OFSESSION true
#else
#define OFSESSION (tSess <= giveup)
#endif
#ifdef NO_UNHOLD
#define UNHOLD skip
#else
#define UNHOLD hold = 0
#endif
#ifdef NO_REBIND
#define BINDABLE false
#else
#define BINDABLE ((tSt == CONF || tSt == HELD) && here && iAtt == tAtt && (iSt == RUN || iSt == ENDED))
#endif
#ifdef NO_T6
#define MAYTAKE true
#else
#define MAYTAKE (aSt == IDLE)   /* its guard holds the lock: nothing of the old instance runs (takeover.pml) */
#endif
#ifdef NO_FENCE
#define FENCE(n) true
#else
#define FENCE(n) (tAtt == n && (tSt == CONF || tSt == HELD) && here)
#endif
#ifdef ABORT
#define URGENT (aSt == RUN && aLease >= AL)
#define COPIES INV(I3, aSt != RUN)
#else
#define URGENT false
#define COPIES INV(I3, aSt != RUN || gone || took[aAtt])
#endif
#ifdef WITNESS
#define WIT(n) INV(REACHED, !rebound)
#else
#ifdef WITNESS2
#define WIT(n) INV(REACHED, tSt != HELD)
#else
#define WIT(n) skip
#endif
#endif
/* given up at the end of lost_after: from here a second copy is the promise of section 6 */
#define GIVEUP took[tAtt] = (cut >= LA); tSt = QUEUED; here = 0

#define PERN(n) \
   :: d_step { aSess > 0 && offS[n] == aSess && n > aMax && aSt == IDLE -> aSt = ACC; aAtt = n; aAge = 0; aMax = n; mAcc[n] = 1 } \
   :: d_step { mAcc[n] && tSt == OFFERED && tAtt == n && here && open && offS[n] == sess && miss < SL -> tSt = CONF; mConf[n] = 1 } \
   :: d_step { mConf[n] && aSt == ACC && aAtt == n && offS[n] == aSess && VALID -> \
        INV(I1, !started[n]); INV(I2, tSt == CONF && tAtt == n && here); started[n] = 1; aSt = RUN; aAge = 0 } \
   /* C2: in whichever session; over an open stream */ \
   :: d_step { aSt == ENDED && aAtt == n && aSess == sess && open && FENCE(n) -> INV(I4, !accepted && started[n]); WIT(n); \
        accepted = 1; tSt = DONE; here = 0; DROP } \
   :: d_step { aSt == ENDED && aAtt == n && aSess == sess && open && !FENCE(n) -> DROP }

active proctype world() {
end:
  do
  PERN(1) PERN(2)
#if MAXA == 3
  PERN(3)
#endif
  :: d_step { open && !other && inv == 0 && tSt == QUEUED && tAtt < MAXA -> tAtt++; tSt = OFFERED; here = 1; tSess = sess; offS[tAtt] = sess }
  :: d_step { tSt == OFFERED -> tSt = QUEUED; here = 0 }
  :: d_step { tSt == QUEUED && tAtt < MAXA -> tAtt++; tSt = ELSE; COPIES }
  :: d_step { tSt == ELSE && tAtt < MAXA -> tSt = QUEUED }
  :: d_step { tSt == ELSE -> INV(I4, !accepted); accepted = 1; tSt = DONE }
  :: d_step { aSt == ACC && !VALID -> DROP }               /* its decline is lost; S7 finds it */
  :: d_step { aSt == RUN -> aSt = ENDED }
#ifdef ABORT
  :: d_step { URGENT -> aSt = ENDED }
#endif
  :: d_step { open && !other && aSess == sess && miss < SL -> miss = 0; pend = 1 }
  :: d_step { pend > 0 && aSess > 0 -> if :: pend - 1 < aLease -> aLease = pend - 1 :: else fi; pend = 0 }
  /* L2: FAILED; the scheduler deals with it later */
  :: d_step { open && miss >= SL -> open = 0; cut = 0; giveup = sess }
  :: d_step { giveup > 0 -> \
       if :: here && OFSESSION && tSt == CONF -> INV(I3, !(open && tSess == sess && !other)); HOLDIT; took[tAtt] = (tSt == QUEUED && cut >= LA) \
          :: here && OFSESSION && tSt == OFFERED -> OPENOFFER :: else fi; giveup = 0 }
  /* the hold falls due, or an operator says that the agent is gone */
  :: d_step { hold && DUE -> hold = 0; if :: tSt == HELD || (tSt == CONF && here) -> INV(I3, !(open && tSess == sess && tSt == CONF)); GIVEUP :: else fi }
  :: d_step { tSt == HELD && !gone -> gone = 1; hold = 0; tSt = QUEUED; here = 0 }
  /* the agent is back: a new session, its un-started accept is void; then its inventory is judged */
  :: d_step { !open && sess < MAXS && !other && !URGENT -> sess++; open = 1; miss = 0; if :: aSt == ACC -> DROP :: else fi; \
       aSess = sess; aLease = 0; pend = 0; inv = sess; iSt = aSt; iAtt = aAtt; iOther = 0 }
  /* a new instance under the name */
  :: d_step { !open && sess < MAXS && MAYTAKE -> sess++; open = 1; other = 1; miss = 0; inv = sess; iSt = IDLE; iAtt = 0; iOther = 1 }
  :: d_step { inv > 0 -> \
       if :: inv == sess && BINDABLE -> tSt = CONF; tSess = sess; UNHOLD; rebound = 1 \
          :: inv == sess && !BINDABLE && here && (tSt == CONF || tSt == HELD || tSt == OFFERED) && tSess < sess -> tSt = QUEUED; here = 0; UNHOLD :: else fi; \
       /* KILL what is not current any more */ \
       if :: inv == sess && !iOther && aSt == RUN && !(here && tAtt == aAtt && tSt == CONF) -> mKill = aAtt :: else fi; inv = 0 }
  :: d_step { mKill > 0 -> if :: aAtt == mKill -> DROP :: else fi; mKill = 0 }
  :: d_step { !URGENT -> if :: open && miss < SL -> miss++ :: else fi; if :: !open && cut < LA -> cut++ :: else fi; if :: aLease < AL -> aLease++ :: else fi; \
       if :: pend > 0 && pend < AL -> pend++ :: pend >= AL -> pend = 0 :: else fi; if :: aSt == ACC && aAge < W -> aAge++ :: else fi }
  od
}
