/* takeover.pml - a restarted agent takes its name over at once (T6), by the lock that its guard and its work hold (G1, G4).
 *
 * MAXI instances of one agent share a state directory and its lock; each may be killed at any moment, with or before its guard, and the
 * next may start while the former still lives. An impostor has the same name and a state directory of its own. 1 task, MAXA attempts;
 * any attempt may go to another agent, where it starts at once. Hellos and Welcomes come late. CONTINUE; a session may FAIL by age once
 * (then a second copy is allowed, section 6). There are no clocks: a failed session's agent has no lease, since AL < SL (core.pml).
 *
 * Rules kept: T6, G1 (guard and leaders hold the lock; the guard stops its work when its agent is gone, leaders when their guard is),
 * G4 (no start without a guard that holds the lock), C1, C2, S3, S4.
 * Asserted: I1, I2, I3 (at every start, here and elsewhere), I4.
 * Mutants:
 *   NO_LOCK        the restarted agent does not wait for the lock
 *   NO_LEADER_LOCK the guard alone holds the lock, the leaders of the attempts do not (their work may outlive the guard)
 *   NO_GUARD_STOP  the guard is gone with its agent while its work runs on, and the lock was the guard's
 *   NO_NAME        a takeover need not name the instance that the store has
 *   NO_CONFLICT    a new instance under a living name gets a session, and the old one's work is given up
 *   NO_OWNER       an instance goes on after another has held its lock (ADR 0011)
 *   NO_G4          an agent that lost its guard takes one that does not hold the lock
 * WITNESS: an outcome that one instance's guard left in the journal is reported by the next instance and taken.
 */
#include "invariants.h"
#ifndef MAXA
#define MAXA 2
#endif
#ifndef MAXI
#define MAXI 2
#endif
#define QUEUED 0
#define CONF 2
#define ELSE 3
#define DONE 4
#define NONE 7
#define IMPOSTOR 3
/* store: the agent's session, its instance, how it stands */
byte sess, inst = NONE; bit over = 1, failedOnce;
byte tSt, tAtt; bit here, accepted, failed[MAXA+1];
/* one host */
byte owner = NONE;        /* the instance that the state directory names: the last one that took the lock */
byte next; bit up[3], hSaid[4], hTake[3], hOut[3]; byte hNames[3], hEnd[3], wel[4], aSess[3];
byte guard = NONE;        /* the instance whose guard lives */
bit  guardLock;           /* and holds the lock */
byte work, workOf = NONE; /* the attempt whose processes run, the instance that started it */
byte journal, jInst = NONE; /* highest attempt with an outcome; the last instance that got a session, as the journal has it */
byte offS[MAXA+1], offTo[MAXA+1]; bit mConf[MAXA+1], started[MAXA+1];

#ifdef NO_LEADER_LOCK
#define LOCKED (guard != NONE && guardLock)
#else
#ifdef NO_GUARD_STOP
#define LOCKED (guard != NONE && guardLock)
#else
#define LOCKED ((guard != NONE && guardLock) || work > 0)
#endif
#endif
#ifdef NO_LOCK
#define HOLDS(i) true
#else
#define HOLDS(i) (guard == i && guardLock)
#endif
#ifdef NO_G4
#define NEWGUARD(i) (guard == NONE)
#else
#define NEWGUARD(i) (guard == NONE && !LOCKED)
#endif
#ifdef NO_NAME
#define NAMED(i) true
#else
#define NAMED(i) (hNames[i] == inst)
#endif
#ifdef NO_NAME
#define IMPOSTORTAKES true
#else
#define IMPOSTORTAKES false
#endif
#define COPIES INV(I3, work == 0 || failed[work])
#ifdef WITNESS
#define WIT(i) INV(REACHED, offTo[tAtt] == i)
#else
#define WIT(i) skip
#endif
/* what a new session of this name makes of the task: an outcome in the journal waits for its report, the rest is given up */
#define TAKE(ended) if :: here && tSt == CONF && tAtt > ended -> tSt = QUEUED; here = 0  :: else fi

/* an instance that said hello and then finds that another held the lock since is over: it goes on as a new one */
#ifdef NO_OWNER
#define OWN(i) skip
#else
#define OWN(i) if :: guardLock && owner != i && hSaid[i] -> up[i] = 0; aSess[i] = 0 :: guardLock && !(owner != i && hSaid[i]) -> owner = i :: else fi
#endif

#define INSTANCE(i) \
   :: d_step { up[i] -> up[i] = 0; aSess[i] = 0 }                            /* kill -9 of the agent */ \
   :: d_step { guard == i -> guard = NONE }                                  /* kill -9 of the guard */ \
   STOPS(i) \
   /* a guard: its own, or a new one; with the lock it writes ABORTED for what has no outcome */ \
   :: d_step { up[i] && NEWGUARD(i) -> guard = i; guardLock = !LOCKED; OWN(i); \
        if :: guardLock && tAtt > journal && started[tAtt] && here && work == 0 -> journal = tAtt :: else fi } \
   /* hello: with the lock a takeover that names the last instance, else as a conflict */ \
   :: d_step { up[i] && !hSaid[i] && HOLDS(i) -> hSaid[i] = 1; hTake[i] = 1; hNames[i] = jInst; hEnd[i] = journal; hOut[i] = 1 } \
   :: d_step { up[i] && !hSaid[i] -> hSaid[i] = 1; hTake[i] = 0; hOut[i] = 1 } \
   :: d_step { hOut[i] && hTake[i] && NAMED(i) -> hOut[i] = 0; TAKE(hEnd[i]); sess++; inst = i; over = 0; wel[i] = sess } \
   :: d_step { hOut[i] && CONFLICTOK -> hOut[i] = 0; TAKE(0); sess++; inst = i; over = 0; wel[i] = sess } \
   :: d_step { up[i] && wel[i] > 0 && aSess[i] == 0 -> aSess[i] = wel[i]; jInst = i } \
   :: d_step { up[i] && aSess[i] > 0 && inst == i && aSess[i] == sess && journal == tAtt && tSt == CONF && here && guard == i && guardLock -> \
        INV(I4, !accepted && started[tAtt]); WIT(i); if :: accepted = 1; tSt = DONE :: tSt = QUEUED; here = 0 /* ABORTED */ fi }

#ifdef NO_CONFLICT
#define CONFLICTOK true
#else
#define CONFLICTOK over
#endif
#ifdef NO_GUARD_STOP
#define STOPS(i) :: d_step { guard == i && !up[i] -> guard = NONE }
#define LEADEREND
#else
#define STOPS(i) :: d_step { guard == i && !up[i] && work > 0 -> journal = work; work = 0 } :: d_step { guard == i && !up[i] && work == 0 -> guard = NONE }
#define LEADEREND :: d_step { work > 0 && guard == NONE -> work = 0 }
#endif

#define START(i,n) \
   :: d_step { mConf[n] && offTo[n] == i && up[i] && aSess[i] == offS[n] && guard == i && LOCKHELD && work == 0 -> mConf[n] = 0; \
        INV(I1, !started[n]); INV(I2, tSt == CONF && tAtt == n && here || failed[n]); started[n] = 1; work = n; workOf = i }
#ifdef NO_G4
#define LOCKHELD true
#else
#define LOCKHELD guardLock
#endif
#if MAXI == 3
#define PERN(n) START(0,n) START(1,n) START(2,n)
#else
#define PERN(n) START(0,n) START(1,n)
#endif

active proctype world() {
end:
  do
  INSTANCE(0) INSTANCE(1)
#if MAXI == 3
  INSTANCE(2)
#endif
  :: d_step { next < MAXI -> up[next] = 1; next++ }
  /* the impostor: another directory, whose lock it holds; it claims by that lock and names what it likes */
  :: d_step { !hSaid[IMPOSTOR] && (CONFLICTOK || IMPOSTORTAKES) && sess > 0 -> hSaid[IMPOSTOR] = 1; TAKE(0); sess++; inst = IMPOSTOR; over = 0 }
  :: d_step { !over && tSt == QUEUED && tAtt < MAXA && inst < 3 -> tAtt++; tSt = CONF; here = 1; offS[tAtt] = sess; offTo[tAtt] = inst; mConf[tAtt] = 1 }
  :: d_step { tSt == QUEUED && tAtt < MAXA -> tAtt++; tSt = ELSE; here = 0; COPIES }
  :: d_step { tSt == ELSE && tAtt < MAXA -> tSt = QUEUED }
  :: d_step { work > 0 && guard != NONE && guard == workOf -> journal = work; work = 0 }
  LEADEREND
  /* the session fails by age: the agent's lease is over, so nothing un-started of it can start any more */
  :: d_step { !over && !failedOnce && sess > 0 -> failedOnce = 1; over = 1; if :: here && tSt == CONF -> failed[tAtt] = 1; tSt = QUEUED; here = 0; mConf[tAtt] = 0 :: else fi }
  PERN(1) PERN(2)
#if MAXA == 3
  PERN(3)
#endif
  od
}
