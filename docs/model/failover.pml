/* failover.pml - what survives when the store (Redis) fails over to a replica that has LOST acknowledged writes.
 * 1 task, 2 agents, up to MAXTOK attempts, NFO failovers. Policy ABORT (self-fence), same timers as core.pml.
 * s* = primary, r* = replica (copied at any moment: REPL). FAILOVER: s := r, anything newer is gone.
 * Rules (remove with -D...):
 *   NO_EPOCH   attempt tokens are a plain counter in the store: after a rollback a number is used twice
 *   NO_QUAR    offers resume at once after a failover (no wait for every live agent's inventory or its failure)
 *   NO_ADOPT   the inventory of running attempts is not adopted
 *   NO_VOID    offers not yet confirmed survive the failover
 *   NO_SYNC    a result is acknowledged/exposed before the replica has it (no WAIT)
 *   NO_WINDOW  the confirm window is not checked (lease check only)
 *   NO_GRACE   liveness ages are not reset at the failover
 */
#include "invariants.h"
#define SL 3
#define AL 2
#define W 2
#ifndef MAXTOK
#define MAXTOK 3
#endif
#ifndef NFO
#define NFO 1
#endif
#define QUEUED 0
#define OFFERED 1
#define CONF 2
#define SUCC 3
#define IDLE 0
#define ACC 1
#define RUN 2
byte sSt, sOwn, sTok, rSt, rOwn, rTok, nextTok, nfo, exposed;
bit sAl[2], rAl[2], rec[2], learnt[2];
byte miss[2], inv[2];
byte aSt[2], aTok[2], aAge[2], aLease[2], aSeen[2];
byte offA[4]; bit mAcc[4], mConf[4], mDecl[4], mRes[4], started[4];

#ifdef NO_WINDOW
#define VALID(a) (aLease[a] < AL)
#else
#define VALID(a) (aLease[a] < AL && aAge[a] < W)
#endif
#ifdef NO_QUAR
#define QUIET true
#else
#define QUIET ((!rec[0] || !sAl[0]) && (!rec[1] || !sAl[1]))
#endif
#define SAME (sSt == rSt && sOwn == rOwn && sTok == rTok && sAl[0] == rAl[0] && sAl[1] == rAl[1])
#ifdef NO_EPOCH
#define NEXT (sTok + 1)
#else
#define NEXT (nextTok + 1)
#endif
#define DROP(a) aSt[a] = IDLE; aTok[a] = 0; aAge[a] = 0

#define OFFER(a) :: d_step { sAl[a] && sSt == QUEUED && QUIET && NEXT <= MAXTOK -> sTok = NEXT; nextTok = sTok; sSt = OFFERED; sOwn = a; offA[sTok] = a+1 }
#define GETOFFER(a,n) :: d_step { offA[n] == a+1 && aSeen[a] < n && aSt[a] == IDLE -> aSt[a] = ACC; aTok[a] = n; aAge[a] = 0; aSeen[a] = n; mAcc[n] = 1 }
#define GETACC(n) :: d_step { mAcc[n] && sSt == OFFERED && sTok == n && sAl[sOwn] && QUIET -> sSt = CONF; mConf[n] = 1; miss[sOwn] = 0 }
#define GETCONF(a,o,n) :: d_step { mConf[n] && aSt[a] == ACC && aTok[a] == n && VALID(a) -> \
   INV(I1, !started[n]);                                               /* I1 */ \
   INV(I2, (sSt == CONF && sTok == n && sOwn == a) || rec[a]);         /* I2: revoked only if it will still be reconciled */ \
   INV(I3, aSt[o] != RUN);                                             /* I3 */ \
   started[n] = 1; aSt[a] = RUN; aAge[a] = 0 }
#define DECLINE(a) :: d_step { aSt[a] == ACC && !VALID(a) -> mDecl[aTok[a]] = 1; DROP(a) }
#define GUARD(a)   :: d_step { aSt[a] == RUN && aLease[a] >= AL -> mDecl[aTok[a]] = 1; DROP(a) }
#define FINISH(a)  :: d_step { aSt[a] == RUN -> mRes[aTok[a]] = 1; DROP(a) }
#define GETDECL(n) :: d_step { mDecl[n] && sTok == n && (sSt == CONF || sSt == OFFERED) -> sSt = QUEUED }
#define GETRES(n)  :: d_step { mRes[n] && sSt == CONF && sTok == n -> sSt = SUCC; EXPNOW }
#ifdef NO_SYNC
#define EXPNOW INV(I4, exposed == 0 || exposed == sTok); exposed = sTok
#define EXPOSE
#else
#define EXPNOW skip
/* I4: the result shown to the world (and acknowledged to the agent) never changes and is never a second one */
#ifdef WITNESS          /* must FAIL: a result is exposed after a failover that rolled something back */
#define EXPOSE :: d_step { sSt == SUCC && SAME && exposed != sTok -> INV(REACHED, !(nfo == 1 && sTok == 2 && started[1])); exposed = sTok }
#else
#define EXPOSE :: d_step { sSt == SUCC && SAME && exposed != sTok -> INV(I4, exposed == 0); exposed = sTok }
#endif
#endif
#define HB(a)   :: d_step { sAl[a] && miss[a] > 0 -> miss[a] = 0 }
#define ACK(a)  :: d_step { sAl[a] && miss[a] == 0 && aLease[a] > 0 -> aLease[a] = 0 } \
   :: d_step { sAl[a] && miss[a] <= 1 && aLease[a] > 1 -> aLease[a] = 1 }
#define FAIL(a) :: d_step { sAl[a] && miss[a] >= SL -> sAl[a] = 0; rec[a] = 0; if :: sOwn == a && (sSt == OFFERED || sSt == CONF) -> sSt = QUEUED :: else fi }
/* the agent learns the new store epoch: drops what it accepted but has not started, snapshots what it runs */
#define LEARN(a) :: d_step { rec[a] && !learnt[a] -> if :: aSt[a] == ACC -> DROP(a) :: else fi; inv[a] = aTok[a]; learnt[a] = 1 }
/* highest retained result of the agent goes with the inventory */
#define BEST(a) (mRes[3] && offA[3] == a+1 -> 3 : (mRes[2] && offA[2] == a+1 -> 2 : (mRes[1] && offA[1] == a+1 -> 1 : 0)))
#ifdef NO_ADOPT
#define RECON(a) :: d_step { rec[a] && learnt[a] && sAl[a] -> rec[a] = 0; learnt[a] = 0; inv[a] = 0; miss[a] = 0 }
#else
#define RECON(a) :: d_step { rec[a] && learnt[a] && sAl[a] -> \
   if :: sSt != SUCC && BEST(a) > 0 && BEST(a) >= sTok -> sSt = SUCC; sTok = BEST(a); sOwn = a; EXPNOW \
      :: else -> if :: sSt != SUCC && inv[a] > 0 && inv[a] >= sTok -> sSt = CONF; sTok = inv[a]; sOwn = a \
                    :: sSt == CONF && sOwn == a && inv[a] != sTok && !(sSt != SUCC && inv[a] > 0 && inv[a] >= sTok) -> sSt = QUEUED \
                    :: else fi fi; \
   rec[a] = 0; learnt[a] = 0; inv[a] = 0; miss[a] = 0 }
#endif
#ifdef NO_VOID
#define VOID skip
#else
#define VOID if :: sSt == OFFERED -> sSt = QUEUED :: else fi
#endif
#ifdef NO_GRACE
#define GRACE skip
#else
#define GRACE miss[0] = 0; miss[1] = 0
#endif
#define TICKA(a) if :: miss[a] < SL -> miss[a]++ :: else fi; if :: aLease[a] < AL -> aLease[a]++ :: else fi; \
   if :: aSt[a] == ACC && aAge[a] < W -> aAge[a]++ :: else fi
#define PERA(a,o) OFFER(a) GETOFFER(a,1) GETOFFER(a,2) GETOFFER(a,3) GETCONF(a,o,1) GETCONF(a,o,2) GETCONF(a,o,3) DECLINE(a) GUARD(a) FINISH(a) HB(a) ACK(a) FAIL(a) LEARN(a) RECON(a)
#define PERN(n) GETACC(n) GETDECL(n) GETRES(n)
active proctype world() {
  d_step { sAl[0] = 1; sAl[1] = 1; rAl[0] = 1; rAl[1] = 1 }
end:
  do
  PERA(0,1) PERA(1,0) PERN(1) PERN(2) PERN(3) EXPOSE
  :: d_step { !SAME -> rSt = sSt; rOwn = sOwn; rTok = sTok; rAl[0] = sAl[0]; rAl[1] = sAl[1] }
  :: d_step { nfo < NFO -> nfo++; sSt = rSt; sOwn = rOwn; sTok = rTok; sAl[0] = rAl[0]; sAl[1] = rAl[1]; VOID; GRACE; \
       rec[0] = 1; rec[1] = 1; learnt[0] = 0; learnt[1] = 0; inv[0] = 0; inv[1] = 0 }
  :: d_step { !(aSt[0] == RUN && aLease[0] >= AL) && !(aSt[1] == RUN && aLease[1] >= AL) -> TICKA(0); TICKA(1) }
  od
}
