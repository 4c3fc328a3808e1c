/* hello.pml - sessions opened by messages: hellos that come late or out of order, through two registries.
 *
 * 1 agent (CONTINUE, it never crashes), 1 task, MAXA attempts, MAXD dials. core.pml opens a session in one atomic step; here a hello is
 * a message that any registry may deliver at any later time, its Welcome may be lost, and the scheduler judges the inventory that came
 * with it later still. An operator may make the session ENDING. There are no clocks: nothing here ends by age (ending.pml has that), so
 * no second copy is allowed at all.
 *
 * Rules kept: S1, S3, S4, S6, S7, L5 (resume, generation), L8 (the same instance's new session re-binds), C1, C2; and the order of
 * hellos (ADR 0010): a dial counter of the INSTANCE, of which the store takes only a higher one, for new sessions too.
 * Asserted: I1, I2, I3 (at every start, here or elsewhere), I4, I13 (the stream that the agent obeys is the newest the store knows).
 * Mutants:
 *   NO_ORDER      the dial counter counts within a session only (as section 2 says): a late hello for a new session is taken
 *   NO_RESUME_GEN a resume is taken whatever its generation
 *   NO_VOID       accepts outlive the session in which they were sent
 *   NO_SEQ        an inventory older than the accept counts as "absent" (S7)
 *   NO_UNSTARTED  un-started accepts do not count as present (S7)
 *   NO_BIND       what runs is not re-bound to the new session
 * WITNESS: an attempt started in one session is bound to a second and its result is taken there.
 */
#include "invariants.h"
#ifndef MAXA
#define MAXA 2
#endif
#ifndef MAXD
#define MAXD 4
#endif
#define OPEN 1
#define ENDING 2
#define QUEUED 0
#define OFFERED 1
#define CONF 2
#define ELSE 3     /* another agent has it and started it */
#define DONE 4
#define IDLE 0
#define ACC 1
#define RUN 2
#define ENDED 3    /* has an outcome in the journal, not answered yet */

/* store */
byte sess, state = ENDING, lastDial;  /* of the agent; the first hello opens session 1 */
byte tSt, tAtt, tSess;
bit accepted;
/* messages */
bit  hSent[MAXD+1];                            /* hello of dial d is on its way (delivered at most once: it is a stream's first frame) */
byte hResume[MAXD+1];                          /* session to resume, 0: a new one */
byte hSt[MAXD+1], hAtt[MAXD+1], hMax[MAXD+1];  /* its inventory, and the highest attempt accepted before it was taken */
byte wel[MAXD+1];                              /* Welcome: the session that this dial got */
bit  inv[MAXD+1];                              /* its inventory waits to be judged */
byte offS[MAXA+1];                             /* offer of attempt n: the session that it is bound to */
bit  mAcc[MAXA+1], mConf[MAXA+1], mDecl[MAXA+1];
/* agent */
byte aSess, dial, aGen;                        /* aGen: the dial whose stream it obeys */
bit  dialing;
byte aSt, aAtt, aMax;
bit  started[MAXA+1];

#define DROP aSt = IDLE; aAtt = 0
#ifdef NO_VOID
#define VOID skip
#define SESSOK(n) (aSess > 0)
#else
#define VOID if :: aSt == ACC -> DROP :: else fi
#define SESSOK(n) (aSess == offS[n])
#endif
#ifdef NO_ORDER
#define FRESHOK(d) true
#else
#define FRESHOK(d) (d > lastDial)
#endif
#ifdef NO_RESUME_GEN
#define RESUMEOK(d) true
#else
#define RESUMEOK(d) (d > lastDial)
#endif
#ifdef NO_SEQ
#define OLDER(d) false
#else
#define OLDER(d) (tSess == sess && hMax[d] < tAtt)
#endif
#ifdef NO_UNSTARTED
#define SHOWN (aSt == ACC -> IDLE : aSt)
#else
#define SHOWN aSt
#endif
#ifdef NO_BIND
#define BIND tSt = QUEUED
#else
#define BIND tSess = sess
#endif
#ifdef WITNESS
#define WIT(n) INV(REACHED, offS[n] == sess)
#else
#define WIT(n) skip
#endif

#define NAMES(d) (hAtt[d] == tAtt && hSt[d] != IDLE)

#if MAXD == 3
#define PERD HELLO(1) HELLO(2) HELLO(3)
#else
#define PERD HELLO(1) HELLO(2) HELLO(3) HELLO(4)
#endif

#define HELLO(d) \
   :: d_step { hSent[d] && !hResume[d] && FRESHOK(d) && sess < MAXD -> \
        hSent[d] = 0; sess++; state = OPEN; lastDial = (d > lastDial -> d : lastDial); wel[d] = sess; inv[d] = 1 } \
   :: d_step { hSent[d] && hResume[d] && hResume[d] == sess && state == OPEN && RESUMEOK(d) -> \
        hSent[d] = 0; lastDial = d; wel[d] = sess; inv[d] = 1 } \
   /* the agent takes the Welcome of its newest dial only */ \
   :: d_step { dialing && d == dial && wel[d] > 0 -> dialing = 0; if :: aSess != wel[d] -> VOID :: else fi; aSess = wel[d]; aGen = d; \
        INV(I13, wel[d] < sess || lastDial >= aGen) } \
   /* S6, S7: the scheduler judges the inventory, if its session is still the agent's */ \
   :: d_step { inv[d] && wel[d] == sess -> inv[d] = 0; \
        if :: tSt == CONF && NAMES(d) && (hSt[d] == RUN || hSt[d] == ENDED) -> BIND \
           :: tSt == CONF && NAMES(d) && hSt[d] == ACC && tSess != sess -> tSt = QUEUED \
           :: tSt == CONF && !NAMES(d) && !OLDER(d) -> tSt = QUEUED \
           :: tSt == OFFERED && tSess != sess -> tSt = QUEUED \
           :: else fi; \
        KILLED(d) }
/* the answer KILL; it may come late, so it is a message of its own: here the agent may take it at any later step */
bit mKill[MAXA+1];
#define KILLED(d) if :: (hSt[d] == RUN || hSt[d] == ACC) && !(tAtt == hAtt[d] && tSt == CONF) -> mKill[hAtt[d]] = 1 :: else fi

#define PERN(n) \
   :: d_step { aSess > 0 && offS[n] == aSess && n > aMax && aSt == IDLE -> aSt = ACC; aAtt = n; aMax = n; mAcc[n] = 1 } \
   :: d_step { mAcc[n] && tSt == OFFERED && tAtt == n && state == OPEN && offS[n] == sess -> tSt = CONF; mConf[n] = 1 } \
   :: d_step { mConf[n] && aSt == ACC && aAtt == n && SESSOK(n) -> \
        INV(I1, !started[n]); INV(I2, tSt == CONF && tAtt == n); started[n] = 1; aSt = RUN } \
   :: d_step { mDecl[n] && tAtt == n && (tSt == OFFERED || tSt == CONF) -> mDecl[n] = 0; tSt = QUEUED } \
   /* C1, C2: reported on a stream until answered; RETRY while ENDING */ \
   :: d_step { aSt == ENDED && aAtt == n && aSess > 0 && tAtt == n && tSt == CONF && state == OPEN -> \
        INV(I4, !accepted && started[n]); accepted = 1; WIT(n); tSt = DONE; DROP } \
   :: d_step { aSt == ENDED && aAtt == n && aSess > 0 && (tAtt != n || tSt != CONF) -> DROP } /* STALE */ \
   :: d_step { mKill[n] && aAtt == n && (aSt == RUN || aSt == ACC) -> DROP }

active proctype world() {
end:
  do
  :: d_step { !dialing && dial < MAXD && aSess == 0 -> dial++; dialing = 1; hSent[dial] = 1; hResume[dial] = 0; hSt[dial] = SHOWN; hAtt[dial] = aAtt; hMax[dial] = aMax }
  /* a stream that broke: resume */
  :: d_step { !dialing && dial < MAXD && aSess > 0 -> dial++; dialing = 1; hSent[dial] = 1; hResume[dial] = aSess; hSt[dial] = SHOWN; hAtt[dial] = aAtt; hMax[dial] = aMax }
  /* nobody answered the hello, or it was refused: dial again (what was refused as ended or ending asks for a new session) */
  :: d_step { dialing && dial < MAXD -> dialing = 0 }
  :: d_step { dialing && aSess > 0 && !(aSess == sess && state == OPEN) -> dialing = 0; VOID; aSess = 0 }
  /* SESSION_ENDING or SESSION_ENDED reaches the agent: un-started accepts are handed back, then a new session is asked for */
  :: d_step { !dialing && aSess > 0 && !(aSess == sess && state == OPEN) -> if :: aSt == ACC -> mDecl[aAtt] = 1 :: else fi; VOID; aSess = 0 }
  :: d_step { state == OPEN -> state = ENDING }                                     /* an operator ends it */
  :: d_step { state == OPEN && tSt == QUEUED && tAtt < MAXA -> tAtt++; tSt = OFFERED; tSess = sess; offS[tAtt] = sess }
  :: d_step { tSt == OFFERED -> tSt = QUEUED }                                      /* withdrawn: its time to live is over */
  :: d_step { tSt == QUEUED && tAtt < MAXA -> tAtt++; tSt = ELSE; INV(I3, aSt != RUN) } /* offered, confirmed, started elsewhere */
  :: d_step { aSt == ACC -> mDecl[aAtt] = 1; DROP }                                 /* S5 */
  :: d_step { aSt == RUN -> aSt = ENDED }
  PERD
  PERN(1) PERN(2)
  od
}
