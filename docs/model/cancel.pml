/* cancel.pml - a cancel is a wish (C4), against starts, results, give-ups and messages that come late or again.
 *
 * 1 task, MAXA attempts, 1 agent that holds at most one attempt; an attempt may be given up at any time (its agent failed: then the agent
 * has no lease and starts nothing, core.pml), declined, aborted, or end with a result. Cancels may be lost; they are pushed again and again.
 *
 * Rules kept: C2, C4, S3, S4, H2.
 * Asserted: I1; I2 (nothing starts that was given up or ended; no attempt is offered once a cancel is wished); I4 (a final state never
 *   changes, and a result that was reported before the stop stands); and for the wish: a task that ended by a stop, a decline or a
 *   give-up with the wish standing is CANCELED.
 * Mutants:
 *   NO_WISH     what is given up, aborted or declined is queued again although a cancel is wished
 *   AT_ONCE     a cancel ends a confirmed task at once, its confirm being on the wire
 *   NO_STAND    a result that comes after the wish is dropped, the task is CANCELED
 *   NO_FINAL    a late report of the stop changes an ended task
 *   NO_REPEAT   (-DLIVENESS) the cancel is pushed once
 * LIVENESS: once a cancel is wished and messages get through again, the task ends, even if it would run for ever.
 * WITNESS: a task that was wished canceled ends with its result.
 */
#include "invariants.h"
#ifndef MAXA
#define MAXA 3
#endif
#define QUEUED 0
#define OFFERED 1
#define CONF 2
#define DONE 3
#define CANCELED 4
#define IDLE 0
#define ACC 1
#define RUN 2
#define ENDED 3     /* has its result in the journal */
#define STOPPED 4   /* was stopped by a cancel; the outcome is in the journal */
byte tSt, tAtt, ended; bit wished, healed, pushes, resultFirst;
byte aSt, aAtt; bit mAcc, mConf[MAXA+1], mCancel[MAXA+1], mDecl[MAXA+1], mRes[MAXA+1], mStop[MAXA+1], started[MAXA+1];

#define FINAL (tSt == DONE || tSt == CANCELED)
#ifdef NO_WISH
#define BACK tSt = QUEUED
#else
#define BACK tSt = (wished -> CANCELED : QUEUED)
#endif
#ifdef AT_ONCE
#define WISH if :: !FINAL -> tSt = CANCELED :: else fi
#else
#define WISH if :: tSt == QUEUED || tSt == OFFERED -> tSt = CANCELED :: else fi
#endif
#ifdef NO_STAND
#define RESULT tSt = (wished -> CANCELED : DONE)
#define CHECKSTAND(n) INV(I4, tSt == DONE)
#else
#define RESULT tSt = DONE
#define CHECKSTAND(n) skip
#endif
#ifdef NO_FINAL
#define CURRENT(n) (tAtt == n)
#else
#define CURRENT(n) (tAtt == n && tSt == CONF)
#endif
#ifdef NO_REPEAT
#define MAYPUSH !pushes
#else
#define MAYPUSH true
#endif
#ifdef WITNESS
#define WIT INV(REACHED, !wished)
#else
#define WIT skip
#endif
#define CHECKI4 INV(I4, ended == 0 || ended == tSt); if :: FINAL -> ended = tSt :: else fi

#define PERN(n) \
   :: d_step { mConf[n] && aSt == ACC && aAtt == n -> INV(I1, !started[n]); INV(I2, tSt == CONF && tAtt == n); started[n] = 1; aSt = RUN } \
   :: d_step { mCancel[n] && aAtt == n && aSt == RUN -> aSt = STOPPED } \
   :: d_step { mCancel[n] && aAtt == n && aSt == ACC -> mDecl[n] = 1; aSt = IDLE } \
   :: d_step { mDecl[n] && CURRENT(n) -> BACK; CHECKI4 } \
   :: d_step { mStop[n] && CURRENT(n) -> BACK; CHECKI4; INV(I4, tSt == (wished -> CANCELED : QUEUED)) } \
   :: d_step { mRes[n] && CURRENT(n) -> RESULT; WIT; CHECKSTAND(n); CHECKI4 }

active proctype world() {
#ifndef LIVENESS
end:
#endif
  do
  :: d_step { !wished && !FINAL -> wished = 1; WISH; CHECKI4 }
  :: d_step { tSt == QUEUED && !wished && tAtt < MAXA && aSt == IDLE -> tAtt++; tSt = OFFERED }
#ifdef NO_WISH
  :: d_step { tSt == QUEUED && wished && tAtt < MAXA -> INV(I2, false) }
#endif
  :: d_step { tSt == OFFERED && aSt == IDLE -> aSt = ACC; aAtt = tAtt; tSt = CONF; mConf[tAtt] = 1 }
  /* given up: no lease there any more, what was not started never will be; what runs is a zombie that the inventory stops */
  :: d_step { !healed && tSt == CONF -> if :: aSt == ACC -> aSt = IDLE :: else fi; BACK; CHECKI4 }
  :: d_step { aSt == RUN && !(tSt == CONF && tAtt == aAtt) -> aSt = IDLE }
  :: d_step { !healed && aSt == ACC -> mDecl[aAtt] = 1; aSt = IDLE }
  :: d_step { !healed && aSt == RUN -> aSt = ENDED }                     /* once healed it runs for ever */
  :: d_step { aSt == ENDED && !mRes[aAtt] -> mRes[aAtt] = 1 }
  :: d_step { aSt == STOPPED && !mStop[aAtt] -> mStop[aAtt] = 1 }
  :: d_step { (aSt == ENDED || aSt == STOPPED) && !(tAtt == aAtt && tSt == CONF) -> mRes[aAtt] = (aSt == ENDED); aSt = IDLE }
  :: d_step { wished && tSt == CONF && MAYPUSH && !mCancel[tAtt] -> mCancel[tAtt] = 1; pushes = 1 }
  /* lost; a fault that never stops counts as progress: only what follows it is looked at */
  :: d_step { !healed && mCancel[1] -> mCancel[1] = 0 } progress2: skip
  :: d_step { !healed && mCancel[2] -> mCancel[2] = 0 } progress3: skip
  PERN(1) PERN(2)
#if MAXA == 3
  PERN(3)
#endif
#ifdef LIVENESS
  :: d_step { wished && !healed -> healed = 1 }
  /* a state with no step left but is not final turns for ever in "else": a cycle without progress breaks I14 */
  :: d_step { healed && FINAL } progress: skip
  :: d_step { !wished } progress1: skip
  :: else -> skip
#endif
  od
}
