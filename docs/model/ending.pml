/* ending.pml - a session that is ended for another reason than age (L7, L8), with clocks.
 *
 * 1 agent, 1 task, MAXA attempts; any attempt may also go to another agent, where it starts at once. Ticks, ages and limits as in core.pml
 * (SL 3, AL 2, W 2). Messages may be lost, late, repeated; pauses are implicit. The session is made ENDING by an operator (token
 * revoked, expired, out of range; forced delete), or by the agent's own word; the agent may open a new one meanwhile.
 * Policy CONTINUE, or -DABORT (the guard stops at AL).
 *
 * Rules kept: S3, S4, T3, L1, L2, L7, L8, G1 (ABORT), C2.
 * Asserted: I1, I2, I3 (ABORT: no second copy at all; CONTINUE: none before the session is over), I8.
 * Mutants:
 *   NO_L8         the operator's end is an end: the attempts are given up at once
 *   ONLY_W        they are given up when W has passed (long enough for starts, not for what runs)
 *   NO_BEAT_FENCE beats of an ENDING session are acknowledged, while its age runs on
 *   NO_WORD       the agent gives its word ("nothing runs or can start") and keeps its un-started accept
 *   NO_WORD_RUN   the agent gives its word while work runs
 * WITNESS: an attempt is given up by L8's limit and a second one's result is taken.
 */
#include "invariants.h"
#define SL 3
#define AL 2
#define W 2
#ifndef MAXA
#define MAXA 2
#endif
#ifndef MAXS
#define MAXS 2
#endif
#define OPEN 0
#define ENDING 1
#define OVER 2
#define QUEUED 0
#define OFFERED 1
#define CONF 2
#define ELSE 3
#define DONE 4
#define IDLE 0
#define ACC 1
#define RUN 2

byte state, sess = 1, miss, endAge;            /* endAge: ticks since it became ENDING (for ONLY_W) */
byte tSt, tAtt; bit here, byLimit, accepted;   /* here: this agent holds tAtt */
byte offS[MAXA+1]; bit mAcc[MAXA+1], mConf[MAXA+1], mDecl[MAXA+1], mRes[MAXA+1], started[MAXA+1];
bit word; byte wordSess;                       /* the agent's word is on its way */
byte aSess = 1, aLease, pend, aSt, aAtt, aAge, aMax;

#define DROP aSt = IDLE; aAtt = 0; aAge = 0
#define VALID (aAge < W && aLease < AL)
#define GIVEUP if :: here && (tSt == OFFERED || tSt == CONF) -> tSt = QUEUED; here = 0 :: else fi
#define CHECKI8 INV(I8, aLease >= AL || aSess != sess)
#ifdef NO_WORD
#define WORDOK (aSt != RUN)
#define WORDDROP skip
#else
#ifdef NO_WORD_RUN
#define WORDOK true
#else
#define WORDOK (aSt != RUN)
#endif
#define WORDDROP if :: aSt == ACC -> DROP :: else fi
#endif
#ifdef ABORT
#define URGENT (aSt == RUN && aLease >= AL)
#define COPIES INV(I3, aSt != RUN)
#else
#define URGENT false
#define COPIES INV(I3, aSt != RUN || state == OVER || aSess != sess)
#endif
#ifdef WITNESS
#define WIT(n) INV(REACHED, !(byLimit && n == 2))
#else
#define WIT(n) skip
#endif
#define FENCE(n) (tAtt == n && tSt == CONF && here)

#define PERN(n) \
   :: d_step { aSess > 0 && offS[n] == aSess && n > aMax && aSt == IDLE -> aSt = ACC; aAtt = n; aAge = 0; aMax = n; mAcc[n] = 1 } \
   :: d_step { mAcc[n] && tSt == OFFERED && tAtt == n && here && state == OPEN && offS[n] == sess && miss < SL -> tSt = CONF; mConf[n] = 1 } \
   :: d_step { mConf[n] && aSt == ACC && aAtt == n && offS[n] == aSess && VALID -> \
        INV(I1, !started[n]); INV(I2, tSt == CONF && tAtt == n && here); started[n] = 1; aSt = RUN; aAge = 0 } \
   :: d_step { mDecl[n] && tAtt == n && here && (tSt == OFFERED || tSt == CONF) -> tSt = QUEUED; here = 0 } \
   :: d_step { mRes[n] && state != ENDING && FENCE(n) -> INV(I4, !accepted && started[n]); accepted = 1; WIT(n); tSt = DONE; here = 0 }

active proctype world() {
end:
  do
  PERN(1) PERN(2)
#if MAXA == 3
  PERN(3)
#endif
  :: d_step { state == OPEN && tSt == QUEUED && tAtt < MAXA -> tAtt++; tSt = OFFERED; here = 1; offS[tAtt] = sess }
  :: d_step { tSt == OFFERED -> tSt = QUEUED; here = 0 }
  :: d_step { tSt == QUEUED && tAtt < MAXA -> tAtt++; tSt = ELSE; COPIES }
  :: d_step { tSt == ELSE && tAtt < MAXA -> tSt = QUEUED }   /* and was lost there */
  :: d_step { aSt == ACC && !VALID -> mDecl[aAtt] = 1; DROP }
  :: d_step { aSt == RUN -> mRes[aAtt] = 1; DROP }
#ifdef ABORT
  :: d_step { URGENT -> mDecl[aAtt] = 1; DROP }             /* the guard, never paused: it reports ABORTED */
#endif
  /* beats: renewed, then acknowledged; the acknowledgement counts from when the beat was sent */
  :: d_step { state == OPEN && aSess == sess && miss < SL -> miss = 0; pend = 1 }
  :: d_step { state == OPEN && aSess == sess && miss < SL -> miss = 0; pend = 2 }
#ifdef NO_BEAT_FENCE
  :: d_step { state == ENDING && aSess == sess -> pend = 1 }
#endif
  :: d_step { pend > 0 && aSess > 0 -> if :: pend - 1 < aLease -> aLease = pend - 1 :: else fi; pend = 0 }
  /* ends */
#ifdef NO_L8
  :: d_step { state == OPEN -> state = OVER; GIVEUP }
#else
  :: d_step { state == OPEN -> state = ENDING; endAge = 0 }
#endif
#ifdef ONLY_W
  :: d_step { state == ENDING && endAge >= W -> state = OVER; GIVEUP }
#endif
  :: d_step { state == OPEN && miss >= SL -> CHECKI8; state = OVER; GIVEUP }
  :: d_step { state == ENDING && miss >= SL -> CHECKI8; state = OVER; if :: here && tSt == CONF -> byLimit = 1 :: else fi; GIVEUP }
  /* the agent's word (goodbye, or after SESSION_ENDING): it leaves its session with it */
  :: d_step { aSess > 0 && WORDOK -> WORDDROP; word = 1; wordSess = aSess; aSess = (aSt == ACC -> aSess : 0); aLease = AL; pend = 0 }
  :: d_step { word && wordSess == sess && state != OVER -> word = 0; INV(I3, aSt != RUN); state = OVER; GIVEUP }
  /* the same instance opens a new session, its inventory judged in the same step (hello.pml has them apart): what runs is bound to it */
  :: d_step { state != OPEN && sess < MAXS && !URGENT -> sess++; state = OPEN; miss = 0; if :: aSt == ACC -> DROP :: else fi; \
       if :: here && (tSt == CONF || tSt == OFFERED) && !(aSt == RUN && aAtt == tAtt) && !(tSt == CONF && mRes[tAtt]) -> tSt = QUEUED; here = 0 \
          :: aSt == RUN && !(here && aAtt == tAtt && tSt == CONF) -> DROP /* KILL */ :: else fi; \
       aSess = sess; aLease = 0; pend = 0 }
  :: d_step { !URGENT -> if :: miss < SL -> miss++ :: else fi; if :: aLease < AL -> aLease++ :: else fi; \
       if :: state == ENDING && endAge < W -> endAge++ :: else fi; \
       if :: pend > 0 && pend < AL -> pend++ :: pend >= AL -> pend = 0 :: else fi; if :: aSt == ACC && aAge < W -> aAge++ :: else fi }
  od
}
