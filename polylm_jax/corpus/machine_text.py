"""Text that a machine wrote for a browser or a file: error pages, checks for robots, cookie notices, logs, code.

None of it is anybody's prose, in any language; what says so is a few words that such pages have
everywhere, and signs that sentences lack.
"""

import regex

NOTICE_SIZE = 1500  # characters, weighed; a longer text says more than its notice
_SPARSE, _DENSE_SCRIPT = 100, 50  # characters per phrase
# What pages of errors, checks for robots and consent say, in lower case: by language, and everywhere.
_EVERYWHERE = (
    "404", "403 ", "500 internal", "502 bad", "503 service", "not found", "javascript", "captcha", "cookie",
    "ray id", "apache/", "nginx/", "wordpress", "cloudflare", "adblock", "ad block", "user agent", "password", "facebook",
    "google",
)  # fmt: skip
NOTICES = {
    "en": "page you|does not exist|doesn't exist|could not be found|been moved|been deleted|been removed|access denied|"
    "access to this page|forbidden|not have permission|try again|contact the|administrator|go back|home page|"
    "homepage|verify|human|robot|unusual traffic|checking your browser|be redirected|your browser|enable|disabled|"
    "accept|reject|consent|privacy policy|third-party|opt-out|preferences|improve your|experience|"
    "server|sign in|log in|register|forgot|for sale|domain",
    "de": "seite nicht|nicht gefunden|existiert nicht|verschoben|gelöscht|zugriff|verweigert|keine berechtigung|erneut|"
    "administrator|zur startseite|bestätigen sie|kein roboter|mensch|überprüf|weitergeleitet|ihr browser|ihren browser|"
    "aktivieren|akzeptieren|ablehnen|zustimm|einwillig|datenschutz|einstellungen|drittanbieter|"
    "server|anmelden|registrieren|passwort|vergessen|domain|zu verkaufen",
    "fr": "page que vous|introuvable|n'existe pas|n'existe plus|déplacée|supprimée|accès refusé|accès interdit|autorisé|"
    "réessay|administrateur|page d'accueil|l'accueil|vérifi|êtes humain|robot|redirigé|votre navigateur|activer|"
    "activez|accepter|refuser|consent|confidentialité|paramètres|erreur|"
    "serveur|connecter|inscri|mot de passe|oublié|domaine|à vendre",
    "es": "página que|no se encuentra|no existe|no se ha encontrado|no encontrad|movida|eliminada|acceso denegado|permiso|"
    "de nuevo|administrador|volver|página de inicio|verifi|humano|robot|redirigid|su navegador|tu navegador|activ|"
    "habilit|aceptar|rechazar|consent|privacidad|preferencias|error|"
    "servidor|iniciar sesión|regístrate|contraseña|olvidado|dominio|en venta",
    "it": "pagina che|pagina richiesta|non trovata|non esiste|spostata|eliminata|rimossa|accesso negato|permess|autorizz|"
    "riprov|amministratore|torna alla|pagina iniziale|verific|umano|robot|reindirizz|tuo browser|suo browser|abilit|"
    "attiva|accett|rifiut|consens|privacy|preferenze|errore|"
    "server|accedi|registrati|dimenticato|account|dominio|in vendita",
    "pt": "página que|não encontrada|não foi encontrada|não existe|movida|removida|excluída|acesso negado|permissão|"
    "novamente|administrador|voltar|página inicial|verifi|humano|robô|redirecionad|seu navegador|navegador|ativ|habilit|"
    "aceitar|rejeitar|recusar|consent|privacidade|preferências|erro |"
    "servidor|tente |entrar|cadastr|senha|esquec|domínio|à venda",
    "nl": "pagina die|niet gevonden|bestaat niet|verplaatst|verwijderd|toegang geweigerd|geen toegang|toestemming|opnieuw|"
    "beheerder|terug naar|startpagina|homepage|verifi|controle|geen robot|mens bent|doorgestuurd|uw browser|je browser|"
    "inschakel|accepteren|weigeren|privacy|voorkeuren|fout|"
    "server|inloggen|aanmelden|registreer|wachtwoord|vergeten|domein|te koop",
    "pl": "strona, której|nie została znaleziona|nie znaleziono|nie istnieje|przeniesiona|usunięta|odmowa dostępu|dostęp|"
    "uprawnień|ponownie|administrator|strony głównej|stronę główną|zweryfik|człowiek|robot|przekierowan|przeglądark|"
    "włącz|akceptuj|odrzuć|zgod|prywatności|ustawienia|błąd|"
    "serwer|zaloguj|zarejestruj|hasł|zapomnia|domen|na sprzedaż",
    "ru": "страница, которую|страница не|не найден|не существует|перемещена|удалена|доступ запрещ|доступ к|нет прав|"
    "попробуйте|повторите|администратор|на главную|главной|подтвердите|не робот|человек|перенаправ|браузер|включите|"
    "принять|отклонить|соглас|конфиденциальности|настройки|ошибка|"
    "сервер|войти|войдите|регистрац|пароль|забыли|домен|продается",
    "tr": "aradığınız sayfa|sayfa bulun|bulunamadı|mevcut değil|taşınmış|silinmiş|kaldırılmış|erişim|engellen|izniniz|"
    "tekrar dene|yönetici|ana sayfa|anasayfa|doğrula|insan olduğ|robot|yönlendiril|tarayıcı|etkinleştir|kabul|reddet|"
    "gizlilik|tercih|hata|"
    "sunucu|giriş|üye ol|kaydol|şifre|unuttu|alan adı|satılık",
    "vi": "trang bạn|không tìm thấy|không tồn tại|đã bị xóa|đã bị xoá|di chuyển|truy cập bị|từ chối|không có quyền|thử lại|"
    "quản trị|trang chủ|xác minh|xác nhận|con người|robot|người máy|chuyển hướng|trình duyệt|bật |chấp nhận|đồng ý|"
    "quyền riêng tư|tùy chọn|lỗi|"
    "máy chủ|đăng nhập|đăng ký|mật khẩu|quên|tên miền|rao bán",
    "id": "halaman yang|tidak ditemukan|tidak tersedia|tidak ada|dipindahkan|dihapus|akses ditolak|izin|coba lagi|"
    "administrator|beranda|halaman utama|verifikasi|manusia|robot|dialihkan|peramban|browser anda|aktifkan|terima|tolak|"
    "setuju|privasi|preferensi|kesalahan|"
    "server|masuk|daftar|kata sandi|lupa|domain|dijual",
    "ar": "الصفحة التي|غير موجود|لم يتم العثور|تم نقل|تم حذف|حذفها|نقلها|تم رفض|غير مسموح|ممنوع|صلاحية|المحاولة|مرة أخرى|"
    "مدير الموقع|مسؤول|الصفحة الرئيسية|تحقق|إنسان|روبوت|إعادة توجيه|المتصفح|متصفحك|تفعيل|تمكين|قبول|رفض|موافق|"
    "ملفات تعريف|الخصوصية|خطأ|"
    "الخادم|الخطأ|العنوان|الصفحة غير|تسجيل الدخول|كلمة المرور|كلمة السر|نسيت|النطاق|للبيع",
    "he": "הדף ש|העמוד ש|לא נמצא|אינו קיים|לא קיים|הועבר|נמחק|הוסר|הגישה נדחתה|אין הרשאה|אין לך|נסה שוב|נסו שוב|מנהל האתר|"
    "לדף הבית|לעמוד הבית|אימות|לאמת|רובוט|בן אדם|אנושי|תועבר|מועבר|הדפדפן|לאפשר|הפעל|אישור|מסכים|דחה|עוגיות|קובצי|"
    "פרטיות|העדפות|שגיאה|"
    "שרת|התחבר|הירשם|הרשמה|סיסמה|סיסמא|שכחת|דומיין|למכירה",
    "zh": "您访问的|你访问的|您要找的|页面不存在|页面未找到|找不到|不存在|已删除|已被删除|已移动|拒绝访问|禁止访问|没有权限|重试|刷新|管理员|"
    "返回首页|验证|人机|机器人|滑块|跳转|浏览器|瀏覽器|启用|开启|接受|拒绝|同意|隐私|偏好|错误|訪問|頁面|"
    "服务器|登录|登錄|注册|密码|密碼|忘记|域名|出售",
    "ja": "お探しの|見つかりません|見つかりませんでした|存在しません|移動|削除|アクセスが|拒否|権限|禁止|もう一度|再度|管理者|トップページ|"
    "確認|人間|ロボット|転送|自動的に|ブラウザ|有効|同意|許可|クッキー|プライバシー|設定|エラー|urlが|ページは|ページが|"
    "サーバー|ログイン|会員登録|パスワード|忘れ|ドメイン|販売中",
    "ko": "요청하신|페이지를 찾을|찾을 수 없|존재하지 않|이동되었|삭제되|접근이|거부|권한|다시 시도|관리자|홈으로|메인으로|확인|사람|로봇|"
    "자동으로|이동합니다|브라우저|활성화|사용 설정|동의|허용|쿠키|개인정보|설정|오류|에러|"
    "서버|로그인|회원가입|비밀번호|잊으|도메인|판매",
    "th": "หน้าที่คุณ|ไม่พบหน้า|ไม่พบ|ไม่มีอยู่|ถูกลบ|ถูกย้าย|ปฏิเสธการเข้าถึง|เข้าถึง|ไม่มีสิทธิ์|ลองใหม่|อีกครั้ง|ผู้ดูแล|หน้าแรก|"
    "หน้าหลัก|ยืนยัน|มนุษย์|หุ่นยนต์|โรบอท|เปลี่ยนเส้นทาง|เบราว์เซอร์|เปิดใช้|ยอมรับ|ปฏิเสธ|ยินยอม|คุกกี้|ความเป็นส่วนตัว|ข้อผิดพลาด|"
    "เซิร์ฟเวอร์|เข้าสู่ระบบ|สมัคร|รหัสผ่าน|ลืม|โดเมน|ขาย",
}  # fmt: skip
_ALL = {code: (*_EVERYWHERE, *said.split("|")) for code, said in NOTICES.items()}
_STAMP = r"\d{4}[-/.]\d\d[-/.]\d\d[T ]\d\d:\d\d:\d\d"
_LOG = regex.compile(
    rf"^\s*(?:[\[<(]?{_STAMP}|[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d \S+ |\S+ \S+ \S+ \[\d\d/[A-Z][a-z]{{2}}/\d{{4}}:"
    r"|\[?(?:INFO|DEBUG|WARN|WARNING|ERROR|FATAL|TRACE)\b|at [\w$./]+\(|Exception in |Caused by: |#\d+ |File \"[^\"]+\", line \d"
    r"|\S+\.\w{2,4}\s.{0,30}?[\d.,]+ ?[KMGkmg]?[Bb]?$|Traceback |(?:Fatal error|Warning|Notice|Parse error): .* on line \d)"
)
_CODE_SIGNS = regex.compile(r"[{}();=<>$\\_&\[\]+*]|::|->")
_CODE = regex.compile(  # how a line of a program or a command begins
    r"^\s*(?:(?:from [\w.]+ )?import [\w.*]+(?:, ?[\w.*]+)*;?(?: as \w+)?$|(?:async )?def \w+\(|class \w+[(:{]|#include\b|"
    r"(?:with|for|while|if|elif) .*[^\s]:$|(?:else|try|finally):$|(?:return|print|echo|let|const|var|function) ?[\w(\"'$]"
    r".*[;)}\]\"'\w]$|SELECT .+ FROM |(?:INSERT INTO|(?:CREATE|DROP|ALTER|UNLOCK|LOCK) TABLES?|DELETE FROM) ?[\w`\"'.;]*|\$ \w|(?:sudo|git|pip|npm|docker|apt|apt-get|cd|mkdir|curl|wget|ssh|grep|chmod) "
    r"[\w./~$\"'-]+(?: [^\s,;:!?。、，]+)*$|done$|fi$|end;?$|[})\]]+[;,]?$|</?\w[^>]*>$)"
)
_COMMAND = regex.compile(
    r"^\s*[a-z./~$][\w./-]*(?: \S+){0,3}? --?\w[\w-]*(?:[ =]\S+)*$(?<![.,:!?])"
)
LOOKED_AT = 12
_LEAST_SIGNS, _DENSE = 4, 0.09


def notices(text: str, code: str) -> int:
    """How many of the phrases of error pages, checks for robots and consent a short text is full of.

    0 for a text that has fewer than one per 100 characters (50 of Chinese, Japanese, Korean): it speaks
    of browsers.

    >>> notices("Error 404: the page you want does not exist. Go back or contact the administrator.", "en")
    6
    """
    if code not in _ALL or len(text) > NOTICE_SIZE:
        return 0
    lowered = text.lower()
    found = sum(said in lowered for said in _ALL[code])
    return (
        found
        if (_DENSE_SCRIPT if code in ("zh", "ja", "ko") else _SPARSE) * found >= len(text)
        else 0
    )


def log_share(lines: list[str]) -> float:
    """Of the lines, those that a program wrote down: a time to the second, a level, a file's size.

    Lines from all over a text are asked, `LOOKED_AT` or somewhat more.
    """
    lines = lines[:: max(1, len(lines) // LOOKED_AT)]
    return sum(_LOG.match(line) is not None for line in lines) / max(1, len(lines))


def is_code(line: str) -> bool:
    """Whether a line is of a program, or a command; what language it's in says nothing of the text.

    >>> is_code("from datetime import date"), is_code("mogrify -path small -quality 85 *.jpg")
    (True, True)
    >>> is_code("From here import duties rise (by 5 %)."), is_code("We went - as ever - by train.")
    (False, False)
    """
    if not line or line.isspace() or (not line.isascii() and _mostly_other_letters(line)):
        return False
    if _CODE.match(line) or (" -" in line and line.isascii() and _COMMAND.match(line)):
        return True
    signs = len(_CODE_SIGNS.findall(line))
    return signs >= _LEAST_SIGNS and signs >= _DENSE * len(line)


def _mostly_other_letters(line: str) -> bool:
    return 2 * sum(c.isascii() for c in line if c.isalpha()) < sum(map(str.isalpha, line))


def code_share(lines: list[str]) -> float:
    """Of the characters of all lines, those in lines of code."""
    return sum(len(line) for line in lines if is_code(line)) / max(1, sum(map(len, lines)))
