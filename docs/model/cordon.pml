/* cordon.pml - taking an agent out and back (O1, D6, I6): records in SQL, projected into the store, which offers and confirms.
 *
 * 1 agent name over several sessions, 1 task, MAXR decisions of operators, each a row with a higher revision. Projections are messages: late,
 * repeated, in any order, from any replica; the store may be wiped once. Schedulers have what they last read of the agent's availability.
 *
 * Rules kept: O1, D6 (a projection takes only a higher revision; the operator is answered when it is projected), D2's last sentence (no offer
 * before the projection of the current epoch), S3 (a cordoned agent gets no confirm), availability outlives sessions.
 * Asserted: I6: from the moment that an operator was answered until the next decision is recorded, no offer and no confirm goes to the agent.
 *   Confirmed work runs on: no cordon takes an attempt from the agent (I2 is asserted at its start).
 * Mutants:
 *   NO_REVISION   a projection is taken whatever its revision
 *   NO_CLAIM      the claim does not read the availability; a scheduler's own knowledge has to do
 *   NO_CONFIRM    the confirm does not read it
 *   NO_SURVIVE    a new session starts as schedulable
 *   NO_EPOCH      offers and confirms before the records are projected into a wiped store
 *   NO_READ_AFTER what was read before the wipe is projected under the new epoch
 *   NO_ANSWER     the operator is answered when the record is written
 *   TAKES_WORK    a cordon gives up what is confirmed
 * WITNESS: after cordon and uncordon an attempt is started.
 */
#include "invariants.h"
#ifndef MAXR
#define MAXR 3
#endif
#define QUEUED 0
#define OFFERED 1
#define CONF 2
byte row, projected, wipes;         /* the newest revision; odd: cordoned, even: not. What the store has */
bit  sent[2*(MAXR+1)], stands = 1;  /* projections on their way, by epoch and revision; the store's projection is of its epoch */
bit  answered, known, cordoned;     /* the operator was answered; what a scheduler knows; what the store says */
byte tSt, tAtt; bit conf, acc;      /* acc: the agent's accept of the open offer is on its way */
byte aAtt; bit running;

#define CORDONED(r) ((r) % 2)
#ifdef NO_REVISION
#define TAKES(r) true
#else
#define TAKES(r) (r >= projected)
#endif
#ifdef NO_CLAIM
#define MAYOFFER (!known)
#else
#define MAYOFFER (!cordoned)
#endif
#ifdef NO_CONFIRM
#define MAYCONFIRM true
#else
#define MAYCONFIRM (!cordoned)
#endif
#ifdef NO_EPOCH
#define INFORCE true
#else
#define INFORCE stands
#endif
#ifdef NO_ANSWER
#define ANSWERABLE true
#else
#define ANSWERABLE (stands && projected == row)
#endif
#ifdef NO_SURVIVE
#define AVAILABILITY cordoned = 0
#else
#define AVAILABILITY skip
#endif
#ifdef TAKES_WORK
#define GIVENUP (tSt == OFFERED || tSt == CONF)
#else
#define GIVENUP (tSt == OFFERED)
#endif
#ifdef WITNESS
#define WIT INV(REACHED, row < 2)
#else
#define WIT skip
#endif
#define CHECKI6 INV(I6, !(answered && CORDONED(row)))
#define S(e,r) sent[(e)*(MAXR+1)+(r)]
#define PROJECT(r) :: d_step { S(wipes,r) && TAKES(r) -> projected = r; cordoned = CORDONED(r); stands = 1 }

active proctype world() {
end:
  do
  :: d_step { row < MAXR -> row++; answered = 0 }
  :: d_step { row > 0 && !answered && ANSWERABLE -> answered = 1 }
  PROJECT(0) PROJECT(1) PROJECT(2) PROJECT(3)
#if MAXR == 5
  PROJECT(4) PROJECT(5)
#endif
  /* an owner reads the records, and projects what it read under the epoch that it knew when it began to read */
  :: d_step { !S(wipes,row) -> S(wipes,row) = 1 }
#ifdef NO_READ_AFTER
  :: d_step { row > 0 && !S(wipes,row-1) -> S(wipes,row-1) = 1 }
#endif
  :: d_step { known = cordoned }                           /* a scheduler hears of it */
  :: d_step { tSt == QUEUED && tAtt < 2 && INFORCE && MAYOFFER -> CHECKI6; tSt = OFFERED; tAtt++; acc = 1 }
  :: d_step { tSt == OFFERED && acc && INFORCE && MAYCONFIRM -> CHECKI6; tSt = CONF; acc = 0; conf = 1; aAtt = tAtt }
  /* later, a scheduler withdraws the open offer: sessions and tasks have different owners (D5) */
  :: d_step { cordoned && GIVENUP -> tSt = QUEUED; acc = 0 }
  :: d_step { conf && !running -> INV(I2, tSt == CONF && tAtt == aAtt); WIT; conf = 0; running = 1 }
  :: d_step { running -> running = 0; if :: tSt == CONF && tAtt == aAtt -> tSt = QUEUED :: else fi }   /* and the next task */
  /* a new session of the name; the old one's open offer is void, a start that had not come never will */
  :: d_step { !running -> AVAILABILITY; if :: tSt == OFFERED || tSt == CONF -> tSt = QUEUED :: else fi; conf = 0; acc = 0 }
  /* a wipe: the store knows nothing, and its projection is not of the new epoch; the sweep projects again */
  :: d_step { wipes == 0 -> wipes++; projected = 0; cordoned = 0; stands = 0; if :: tSt == OFFERED -> tSt = QUEUED; acc = 0 :: else fi }
  od
}
