/* failover-continue.pml - CONTINUE over a failover that loses acknowledged writes, with sessions that begin, fail and are forgotten.
 *
 * 2 agents, 1 task, MAXTOK attempts, MAXS sessions an agent, one failover. Store s* with an asynchronous replica r* (copied as a whole at
 * any moment); the failover puts the replica in its place: tasks, attempts, sessions and verdicts that it lacks are gone, so an agent
 * may be missing from the store. Ticks and limits as in core.pml (SL 3, AL 2, W 2). Unlike failover.pml nothing stops by itself, and an
 * agent whose session is unknown or over says hello again, with its inventory.
 *
 * Rules kept: S1, S3, S4, L1, L2, T7, D1 (a result is shown when the replica has it), D2 (epoch, void offers, ages zero, quarantine until
 * every known live agent's inventory is in or it FAILED, and not before SL has passed; adoption; kept results), S7, C1, C2.
 * Asserted: I1; I2 (what starts is confirmed, or its agent will still be reconciled: it is awaited, or the quarantine's SL runs);
 *   I3 (a second copy starts only if the older one's agent has been out of contact for SL: still, or
 *   when the older one was given up, which no rollback undoes); I4 (what was shown never changes); I9.
 * Mutants:
 *   NO_QUAR      no quarantine
 *   NO_SL        it ends when the inventories of the agents that the store knows are in
 *   NO_INV       it ends when SL has passed, whoever has not said what it holds
 *   NO_ADOPT     what runs newer than the store's is not adopted
 *   NO_EPOCH     attempt numbers go on from the store's own counter
 *   NO_SEPOCH    session numbers do
 *   NO_SYNC      a result is shown before the replica has it
 *   NO_LEARN     an agent keeps its un-started accepts when an acknowledgement tells it of a newer epoch
 *   NO_VOID      open offers survive
 *   NO_KEPT      kept results are not taken again
 * WITNESS: after a failover a running attempt is adopted and its result shown; WITNESS2: of an agent whose session was forgotten.
 */
#include "invariants.h"
#ifdef SHORT   /* shorter timers, for small bounds */
#define SL 2
#define AL 1
#define W 1
#else
#define SL 3
#define AL 2
#define W 2
#endif
#ifndef MAXTOK
#define MAXTOK 2
#endif
#ifndef MAXS
#define MAXS 2
#endif
#define QUEUED 0
#define OFFERED 1
#define CONF 2
#define SUCC 3
#define IDLE 0
#define ACC 1
#define RUN 2
#define ENDED 3
byte sSt, sOwn, sTok, rSt, rOwn, rTok, nextTok, exposed; bit nfo;
bit  sAl[2], rAl[2]; byte sSess[2], rSess[2], nextSess[2];
byte miss[2], contact[2];                 /* contact: ticks since the agent's last beat or hello that was taken */
bit  rec[2], learnt[2]; byte qAge = SL, inv[2]; bit invEnded[2], forgot[2], adopted;
byte aSt[2], aTok[2], aAge[2], aLease[2], aSeen[2], aSess[2];
byte offA[MAXTOK+1], offS[MAXTOK+1]; bit mAcc[MAXTOK+1], mConf[MAXTOK+1], started[MAXTOK+1], zombie[MAXTOK+1]; byte mKill[2];

#define VALID(a) (aLease[a] < AL && aAge[a] < W)
#define ALLIN ((!rec[0] || !sAl[0]) && (!rec[1] || !sAl[1]))
#ifdef NO_QUAR
#define QUIET true
#else
#ifdef NO_SL
#define QUIET ALLIN
#else
#ifdef NO_INV
#define QUIET (qAge >= SL)
#else
#define QUIET (ALLIN && qAge >= SL)
#endif
#endif
#endif
#define SAME (sSt == rSt && sOwn == rOwn && sTok == rTok && sAl[0] == rAl[0] && sAl[1] == rAl[1] && sSess[0] == rSess[0] && sSess[1] == rSess[1])
#ifdef NO_EPOCH
#define NEXT (sTok + 1)
#else
#define NEXT (nextTok + 1)
#endif
#ifdef NO_SEPOCH
#define NEXTSESS(a) (sSess[a] + 1)
#else
#define NEXTSESS(a) (nextSess[a] + 1)
#endif
#ifdef NO_VOID
#define VOID skip
#else
#define VOID if :: sSt == OFFERED -> sSt = QUEUED :: else fi
#endif
#ifdef NO_SYNC
#define DURABLE true
#else
#define DURABLE SAME
#endif
#ifdef NO_KEPT
#define KEPT(a) (aSt[a] == RUN)
#else
#define KEPT(a) (aSt[a] != ACC)
#endif
#ifdef WITNESS
#define WIT INV(REACHED, !(adopted && nfo))
#else
#ifdef WITNESS2
#define WIT INV(REACHED, !(adopted && nfo && forgot[sOwn]))
#else
#define WIT skip
#endif
#endif
/* every acknowledgement carries the epoch: in the step that takes the first one of a newer epoch, un-started accepts are dropped */
#ifdef NO_LEARN
#define KNOWS(a) true
#define LEARN(a) skip
#else
#define KNOWS(a) (!rec[a] || learnt[a])
#define LEARN(a) if :: aSt[a] == ACC -> DROP(a) :: else fi
#endif
#define DROP(a) aSt[a] = IDLE; aTok[a] = 0; aAge[a] = 0
/* S7, D2: what the inventory {attempt i, ended e} of agent a says of the task */
#ifdef NO_ADOPT
#define NEWER(a,i) (sTok == i && sOwn == a && sSt == CONF)
#else
#define NEWER(a,i) (i > sTok || (i == sTok && (sSt == QUEUED || sSt == CONF)))
#endif
#define JUDGE(a,i) \
   if :: i > 0 && sSt != SUCC && NEWER(a,i) -> adopted = (sSt != CONF); sSt = CONF; sTok = i; sOwn = a \
      :: sOwn == a && (sSt == CONF || sSt == OFFERED) && i != sTok -> sSt = QUEUED \
      :: else fi; \
   if :: i > 0 && !(sSt == CONF && sTok == i && sOwn == a) -> mKill[a] = i :: else fi

#define AGENT(a,o) \
   :: d_step { sAl[a] && sSt == QUEUED && QUIET && NEXT <= MAXTOK -> sTok = NEXT; nextTok = (sTok > nextTok -> sTok : nextTok); sSt = OFFERED; sOwn = a; \
        offA[sTok] = a+1; offS[sTok] = sSess[a] } \
   :: d_step { aSt[a] == ACC && !VALID(a) -> DROP(a) } \
   :: d_step { aSt[a] == RUN -> aSt[a] = ENDED } \
   /* beats */ \
   :: d_step { sAl[a] && sSess[a] == aSess[a] && (miss[a] > 0 || contact[a] > 0) -> miss[a] = 0; contact[a] = 0 } \
   :: d_step { sAl[a] && sSess[a] == aSess[a] && miss[a] == 0 && contact[a] == 0 && aLease[a] > 0 && KNOWS(a) -> aLease[a] = 0 } \
   :: d_step { sAl[a] && sSess[a] == aSess[a] && miss[a] <= 1 && contact[a] <= 1 && aLease[a] > 1 && KNOWS(a) -> aLease[a] = 1 } \
   :: d_step { sAl[a] && miss[a] >= SL -> sAl[a] = 0; rec[a] = 0; if :: sOwn == a && (sSt == OFFERED || sSt == CONF) -> zombie[sTok] = (contact[a] >= SL); sSt = QUEUED :: else fi } \
   /* the epoch reaches an agent whose session is known: it drops what it has not started, and says what it holds */ \
   :: d_step { rec[a] && sAl[a] && sSess[a] == aSess[a] && !learnt[a] -> LEARN(a); inv[a] = (KEPT(a) -> aTok[a] : 0); learnt[a] = 1 } \
   :: d_step { rec[a] && learnt[a] && sAl[a] -> JUDGE(a,inv[a]); rec[a] = 0; learnt[a] = 0; inv[a] = 0 } \
   /* SESSION_ENDED, or unknown: a new session, with the inventory */ \
   :: d_step { !(sAl[a] && sSess[a] == aSess[a]) && NEXTSESS(a) <= MAXS && (!sAl[a] || forgot[a] || nfo) -> \
        sSess[a] = NEXTSESS(a); INV(I9, sSess[a] > aSess[a]); nextSess[a] = sSess[a]; sAl[a] = 1; miss[a] = 0; \
        if :: aSt[a] == ACC -> DROP(a) :: else fi; \
        aSess[a] = sSess[a]; aLease[a] = 0; JUDGE(a,(KEPT(a) -> aTok[a] : 0)); rec[a] = 0; learnt[a] = 0; \
        if :: aTok[a] > 0 && contact[a] >= SL && !(sSt == CONF && sOwn == a) -> zombie[aTok[a]] = 1 :: else fi; contact[a] = 0 } \
   :: d_step { mKill[a] > 0 -> if :: aTok[a] == mKill[a] && aSt[a] != ACC -> DROP(a) :: else fi; mKill[a] = 0 } \
   /* C1, C2: reported until answered as durable; RETRY in the quarantine */ \
   :: d_step { aSt[a] == ENDED && sAl[a] && sSess[a] == aSess[a] && sTok == aTok[a] && sOwn == a && sSt == CONF && QUIET -> INV(I4, started[aTok[a]]); sSt = SUCC } \
   :: d_step { aSt[a] == ENDED && sAl[a] && sSess[a] == aSess[a] && sSt == SUCC && sTok == aTok[a] && exposed == sTok -> DROP(a) }

#define PERN(n) START(0,1,n) START(1,0,n) \
   :: d_step { mAcc[n] && sSt == OFFERED && sTok == n && sAl[sOwn] && sSess[sOwn] == offS[n] && miss[sOwn] < SL && QUIET -> sSt = CONF; mConf[n] = 1 }
#define START(a,o,n) \
   :: d_step { offA[n] == a+1 && offS[n] == aSess[a] && aSeen[a] < n && aSt[a] == IDLE -> aSt[a] = ACC; aTok[a] = n; aAge[a] = 0; aSeen[a] = n; mAcc[n] = 1 } \
   :: d_step { mConf[n] && aSt[a] == ACC && aTok[a] == n && offS[n] == aSess[a] && VALID(a) -> \
        INV(I1, !started[n]); INV(I2, (sSt == CONF && sTok == n && sOwn == a) || rec[a] || qAge < SL); \
        INV(I3, aSt[o] != RUN || contact[o] >= SL || zombie[aTok[o]]); started[n] = 1; aSt[a] = RUN; aAge[a] = 0 }
#define TICK(a) if :: miss[a] < SL -> miss[a]++ :: else fi; if :: contact[a] < SL -> contact[a]++ :: else fi; if :: aLease[a] < AL -> aLease[a]++ :: else fi; \
   if :: aSt[a] == ACC && aAge[a] < W -> aAge[a]++ :: else fi

active proctype world() {
  d_step { sAl[0] = 1; sSess[0] = 1; rAl[0] = 1; rSess[0] = 1; aSess[0] = 1; nextSess[0] = 1; aLease[1] = AL; contact[1] = SL }
end:
  do
  AGENT(0,1) AGENT(1,0) PERN(1) PERN(2)
#if MAXTOK == 3
  PERN(3)
#endif
  /* shown to the world once, and never another */
  :: d_step { sSt == SUCC && DURABLE && exposed != sTok -> INV(I4, exposed == 0); WIT; exposed = sTok }
  :: d_step { !SAME -> rSt = sSt; rOwn = sOwn; rTok = sTok; rAl[0] = sAl[0]; rAl[1] = sAl[1]; rSess[0] = sSess[0]; rSess[1] = sSess[1] }
  :: d_step { !nfo -> nfo = 1; forgot[0] = (sAl[0] && sSess[0] != rSess[0]); forgot[1] = (sAl[1] && sSess[1] != rSess[1]); \
       sSt = rSt; sOwn = rOwn; sTok = rTok; sAl[0] = rAl[0]; sAl[1] = rAl[1]; sSess[0] = rSess[0]; sSess[1] = rSess[1]; VOID; \
       miss[0] = 0; miss[1] = 0; rec[0] = 1; rec[1] = 1; learnt[0] = 0; learnt[1] = 0; inv[0] = 0; inv[1] = 0; qAge = 0 }
  :: d_step { TICK(0); TICK(1); if :: qAge < SL -> qAge++ :: else fi }
  od
}
